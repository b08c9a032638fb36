"""Episodes: recording, reading and the arrays that training sees."""
