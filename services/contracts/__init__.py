"""What travels between the services, and where: the only thing the three share. Pure: no input or output here."""
