"""The platform is killed, cut off and crowded; whatever happens, nothing is lost, doubled or left behind."""
