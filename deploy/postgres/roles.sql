-- The two roles and the database, for every PostgreSQL that we run on: embedded, compose, production.
-- Run by a superuser with psql, as often as wanted; passwords come from the environment, never from a command line:
--   CRM_OWNER_PASSWORD=… CRM_APP_PASSWORD=… psql -v database=crm -f deploy/postgres/roles.sql
\set ON_ERROR_STOP on
\if :{?database}
\else
\set database crm
\endif
\getenv owner_password CRM_OWNER_PASSWORD
\getenv app_password CRM_APP_PASSWORD

-- crm_owner owns the tables and migrates them; crm_app is what the application runs as: rows, never tables.
SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['crm_owner', 'crm_app']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
ALTER ROLE crm_owner PASSWORD :'owner_password';
ALTER ROLE crm_app PASSWORD :'app_password';
-- A plan made without knowing the searched text cannot choose between trigram and scan, and often chooses wrong.
ALTER ROLE crm_owner SET plan_cache_mode = force_custom_plan;
ALTER ROLE crm_app SET plan_cache_mode = force_custom_plan;

SELECT format('CREATE DATABASE %I OWNER crm_owner', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database')
\gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
-- TEMPORARY: the synchronisation copies into temporary tables.
GRANT CONNECT, TEMPORARY ON DATABASE :"database" TO crm_app;

-- What the owner will create, the application may use. (Being the database's owner, crm_owner may create the
-- trusted extensions that the migrations ask for.)
\connect :"database"
ALTER DEFAULT PRIVILEGES FOR ROLE crm_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO crm_app;
ALTER DEFAULT PRIVILEGES FOR ROLE crm_owner GRANT USAGE, SELECT ON SEQUENCES TO crm_app;
ALTER DEFAULT PRIVILEGES FOR ROLE crm_owner GRANT EXECUTE ON FUNCTIONS TO crm_app;
