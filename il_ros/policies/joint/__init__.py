"""One policy for several tasks or robots: their contracts joined, and the part of each."""
