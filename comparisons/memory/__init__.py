"""What does each framework hold, to the byte, and when does it let go?"""
