"""A caller of the fake that knows nothing but HTTP and JSON."""

ZONE, REGION = "us-west1-b", "us-west1"
ZONES = ["us-west1-a", ZONE, "us-central1-a"]
IMAGE = "projects/debian-cloud/global/images/family/debian-13"


class Caller:
    """Asks the fake, in process."""

    def __init__(self, fake):
        self.fake = fake
        self.session = fake.session()
        self.base = f"{fake.endpoint}/projects/shop"

    def ask(self, verb, path, body=None, **query):
        """Return status and JSON of an answer."""
        response = self.session.request(verb, f"{self.base}/{path}", json=body, params=query)
        return response.status_code, response.json()

    def get(self, path, **query):
        """Return a resource that exists."""
        status, answer = self.ask("GET", path, **query)
        assert status == 200, answer
        return answer

    def begin(self, verb, path, body=None, **query):
        """Begin an operation, and return it."""
        status, operation = self.ask(verb, path, body, **query)
        assert status == 200, operation
        return operation

    def poll(self, operation):
        """Ask for an operation once."""
        return self.ask("POST", f"{scope(operation)}/operations/{operation['name']}/wait")[1]

    def do(self, verb, path, body=None, **query):
        """Carry an operation out, and return what became of it."""
        operation = self.begin(verb, path, body, **query)
        for _ in range(10):
            if operation["status"] == "DONE":
                return operation
            operation = self.poll(operation)
        raise AssertionError(f"{operation} is never done")

    def refused(self, verb, path, body=None, **query):
        """Return status, reason and message of an error."""
        status, answer = self.ask(verb, path, body, **query)
        assert status >= 400, answer
        error = answer["error"]
        assert error["code"] == status
        assert error["errors"][0]["message"] == error["message"]
        return status, error["errors"][0]["reason"], error["message"]

    def address(self, name="relay", **fields):
        """Reserve an address, and return it."""
        self.do("POST", f"regions/{REGION}/addresses", {"name": name, "networkTier": "STANDARD", **fields})
        return self.get(f"regions/{REGION}/addresses/{name}")

    def network(self, name="relay"):
        """Make a network with a subnetwork."""
        self.do("POST", "global/networks", {"name": name, "autoCreateSubnetworks": False})
        subnetwork = {"name": name, "network": f"global/networks/{name}", "ipCidrRange": "10.203.0.0/24"}
        self.do("POST", f"regions/{REGION}/subnetworks", subnetwork)

    def instance(self, name="relay", **fields):
        """Make an instance."""
        return self.do("POST", f"zones/{ZONE}/instances", instance(name, **fields))


def scope(operation):
    """Where an operation is, as in ``zones/us-west1-b``."""
    for kind in ("zone", "region"):
        if kind in operation:
            return f"{kind}s/{operation[kind].rsplit('/', 1)[1]}"
    return "global"


def instance(name="relay", **fields):
    """What an instance of the default network may be asked for with."""
    return {
        "name": name,
        "machineType": f"zones/{ZONE}/machineTypes/e2-micro",
        "disks": [{"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": IMAGE}}],
        "networkInterfaces": [{"network": "global/networks/default"}],
        **fields,
    }


def access(address=None, tier="STANDARD"):
    """Interfaces with a public address."""
    config = {"type": "ONE_TO_ONE_NAT", "networkTier": tier, **({"natIP": address} if address else {})}
    return [{"network": "global/networks/default", "accessConfigs": [config]}]
