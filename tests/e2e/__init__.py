"""The run on a real AWS account: deploy, replicate, break things, see the alarms, remove everything, and report."""
