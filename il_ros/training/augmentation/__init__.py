"""More from the same demonstrations: changed pictures, noise, left-out inputs, and mirrored episodes."""
