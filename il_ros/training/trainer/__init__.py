"""Background training: episode discovery, a resident training process, and throttling."""
