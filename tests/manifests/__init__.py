"""deploy/compose and deploy/kubernetes, held against who will read them."""
