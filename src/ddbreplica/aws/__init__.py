"""How requests to AWS are made: sessions, Regions, roles and clocks, and what a response or a refusal means."""
