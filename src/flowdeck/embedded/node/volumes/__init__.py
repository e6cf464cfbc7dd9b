"""Volumes of pods: what a container finds at its mount paths."""
