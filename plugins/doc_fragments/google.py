# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of every module that speaks to Google's Compute Engine."""


class ModuleDocFragment:
    """Where the relay is, and with which credentials Google is asked."""

    DOCUMENTATION = r"""
options:
  project:
    description: ID of the project, as C(gcloud projects list) shows it.
    type: str
    required: true
  region:
    description: Region, such as V(us-west1).
    type: str
    required: true
  zone:
    description: Zone of the region. Default is the one that ends in C(-b), which every region has.
    type: str
  name:
    description:
      - Name of everything that belongs to the relay.
      - At most 57 lower-case letters, digits and hyphens, beginning with a letter.
    type: str
    default: protostar-relay
  service_account_file:
    description:
      - File on the machine that runs the module with the key of a service account, or with a configuration of workload
        identity federation.
      - Without it, the application default credentials are used, which are the file that the environment variable
        E(GOOGLE_APPLICATION_CREDENTIALS) names, those of C(gcloud auth application-default login), or those of the
        Google machine that the module runs on.
    type: path
  api_endpoint:
    description:
      - Address of the API. With V(http), which is taken for the loopback address only, the application default
        credentials are not used.
    type: str
    default: https://compute.googleapis.com/compute/v1
  timeout:
    description: How long a run may take, in seconds, waiting for Google included.
    type: float
    default: 600
requirements:
  - google-auth 2.40 or newer, and requests, on the machine that runs the module
notes:
  - Runs on the controller, with C(delegate_to) V(localhost). C(gcloud) is not needed.
  - The account needs the roles C(roles/compute.instanceAdmin.v1), C(roles/compute.networkAdmin) and
    C(roles/compute.securityAdmin) in the project; to look, C(roles/compute.viewer) is enough.
  - Credentials and access tokens are in no diff, log or return value.
"""
