"""The status page: the content of `/status` for people.

The server renders the whole page, and the page works without JavaScript. Its script only fetches the page again every
two seconds and replaces what has changed, so there is one renderer. Any value may come from an attacker: every text is
escaped in one place, and the content security policy allows no other script and no other host.
"""
