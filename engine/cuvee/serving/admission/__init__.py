"""What is taken in, and when is it refused? Lanes with bounded queues, fair shares of them, and rates."""
