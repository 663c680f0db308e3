"""What the service remembers: constitutions, verdicts, API keys, video jobs, webhooks. One database, one folder.

SQLite in a file by default; PostgreSQL by URL, with `folder` on a disk that all gateways share. Times are seconds since
1970 by the gateways' clocks, which must agree to within a few seconds where there are several machines.
"""
