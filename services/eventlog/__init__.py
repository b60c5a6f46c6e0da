"""The durable log between the services: the contract (`base`), embedded (`sqlite`) and on Apache Kafka (`kafka`)."""
