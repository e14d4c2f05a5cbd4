"""The overlay `production-hostnetwork`: media workers have ports of the two nodes, and Valkey has replicas."""
