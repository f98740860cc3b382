"""Production's shape as processes of this machine, and each of them killed in turn: `python -m deploy.prodlike`."""
