"""What is to be sent, and the relay that hands it to the channels."""
