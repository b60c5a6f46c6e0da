"""Which rule of the configuration a signal fires, how severe it is, and which stories share one incident. Pure."""
