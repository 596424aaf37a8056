"""What is trained: each module is one kind of training, as the loop takes it. No nodes here."""
