"""StatefulSets: pods with stable names and volumes, started, stopped and updated in order."""
