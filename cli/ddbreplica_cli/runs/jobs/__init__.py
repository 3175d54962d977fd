"""Run the commands of jobs in AWS: start and follow one, show some, and stop one."""
