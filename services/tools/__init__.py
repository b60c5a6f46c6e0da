"""What an operator runs beside the services: drills, doctor, the webhook sink, the check of the data folder."""
