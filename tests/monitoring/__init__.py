"""What is shipped for those who watch forwarders is true: rules, dashboards, runbook, list of metrics."""
