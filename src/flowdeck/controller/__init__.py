"""The controller contract: what a controller is, and the machinery that runs it.

contract   Controller, Result, sources (Owns, Maps); what authors need
admission  what a component rules about its kinds
queue      keys waiting for work: collapsed, never one key twice at once, back-off
informer   one shared list+watch a kind, with indexes
acts       several requests of one reconcile at once
status     one status patch on the way out
events     core/v1 Events, after the write that they tell of
leader     leader election on a Lease
manager    composes them: starts informers, runs workers
"""
