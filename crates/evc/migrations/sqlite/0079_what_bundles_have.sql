-- What a bundle has of each vault, as JSON; nothing: it was kept before that was noted, and is opened to tell. And whether an operator chose it to be
-- given back before newer ones.
ALTER TABLE bundles ADD COLUMN has TEXT;
ALTER TABLE bundles ADD COLUMN offered INTEGER NOT NULL DEFAULT 0;
