-- Devices that accepted sections before there was a chain may tell the last of those yet (vault::ledger, before_chain).
UPDATE devices SET ledger = json_set(ledger, '$.before_chain', section_version) WHERE ledger = '{"head":null,"sent":[]}' AND section_version > 0;
