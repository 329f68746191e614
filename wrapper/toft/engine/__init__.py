"""How Ansible is driven (the only import of ansible_runner), and how a job's bytes are carried."""
