"""What do the strategies cost? Operations, time and peak, beside the theory and the peers."""
