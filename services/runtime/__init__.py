"""One process: what a service is, how services are started, watched and stopped, and the HTTP that they share."""
