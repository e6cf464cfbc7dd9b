"""HorizontalPodAutoscalers (autoscaling/v2): as many replicas as the load needs."""
