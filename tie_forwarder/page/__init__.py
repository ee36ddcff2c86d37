"""The status page: what /status says, as a picture for people. One answer, made here from one JSON object.

The whole page is rendered by the server and useful as it stands. Its script only asks for the page again each two
seconds and puts what has changed in its place, so there is one renderer. Everything that is shown may have come from an
enemy: text becomes HTML at one place, escaped, and the policy that goes with the page lets no other script run and asks
no other host.
"""

from tie_forwarder.page.document import POLICY, render

__all__ = ["POLICY", "render"]
