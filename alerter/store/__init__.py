"""Where the alerter keeps what it must not forget: one database, one durable commit point."""
