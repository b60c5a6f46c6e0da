"""The alerter's database, which is its only commit point: tables, migrations, transactions."""
