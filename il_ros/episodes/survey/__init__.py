"""What the topics of a running robot carry: a contract drafted from it, and a contract checked against it."""
