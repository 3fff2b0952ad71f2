-- Labels of devices, and those that an allowance gives to who registers by it: JSON, keys in their order.
ALTER TABLE devices ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE onboarding ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
-- Vaults of each device that has all of some labels.
CREATE TABLE vault_rules (
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  devices TEXT NOT NULL,
  policy TEXT NOT NULL,
  changed_at INTEGER NOT NULL,
  PRIMARY KEY (project, name),
  FOREIGN KEY (project, policy) REFERENCES policies (project, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX vault_rules_by_policy ON vault_rules (project, policy);
