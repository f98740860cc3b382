"""A shop that pushes orders to its CRM through Tieline: `python -m examples.push_app ORDER E-MAIL`."""

import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any

API = os.environ.get("TIELINE_API", "http://127.0.0.1:8700")
TOKEN = os.environ.get("TIELINE_TOKEN")


def push(order: str, email: str) -> dict[str, Any]:
    """Create a lead. Pushed again, an order finds its first run: the CRM sees it once."""
    lead = {"name": f"order {order}", "email": email}
    operation = {"adapter": "crm", "method": "POST", "path": "/leads", "body": {"type": "json", "value": lead}}
    run = {"operation": operation, "profile": "production", "key": f"order-{order}", "wait": 30}
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {TOKEN}"} if TOKEN else {})
    request = urllib.request.Request(f"{API}/v1/runs", json.dumps(run).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer))


try:
    run = push(*sys.argv[1:])
except urllib.error.HTTPError as error:
    problem = json.load(error)
    sys.exit(f"not pushed ({problem['category']}): {problem['detail']}\nNext step: {problem.get('suggested_action')}")
except OSError as error:
    sys.exit(f"{API} did not answer ({error}): push it again, the CRM sees it once")
print(f"{run['id']}: {run['state']}" + (", pushed before" if run["duplicate"] else ""))
if result := run.get("result"):
    print(json.dumps(result["call"]["body"] if result["call"] else result["decision"]["value"]))
else:
    print("the answer is still to come: push it again to ask for it")
