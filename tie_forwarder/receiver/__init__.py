"""The receiver: a process of its own, and the only place where dxlclient and dxltieclient are used.

It holds nothing worth saving. The callback takes each message raw into a bounded queue, a sender writes frames to the
parent, and a canary event that must come back through the same callback path shows that the subscription lives;
`DxlClient.connected` is never asked, because it blocks and lies. After a lost connection the process ends, and the
supervisor starts another: dxlclient's own reconnect has states that it never leaves.
"""
