"""What an attacker or an accident may try: certificates, secrets, hostile files and names, the environment."""
