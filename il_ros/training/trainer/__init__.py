"""Training in the background: notice episodes, train in a resident process, pause for the control loop."""
