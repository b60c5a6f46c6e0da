"""What forecasts and alarms would have been worth on recorded history: `firebreak backtest`."""
