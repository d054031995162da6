"""What people and other programs are told of it all. The face of its logging part is `logger_config.py`.

Begin with `events`: workers tell them to the monitor's process, and `state` is made of them.
"""
