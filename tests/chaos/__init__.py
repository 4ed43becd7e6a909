"""Capital while servers are killed and connections cut: nothing is lost, nothing comes twice, all comes in order."""
