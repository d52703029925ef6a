-- Whoever sells need not own the tables: days come and go by the owner's hand, whoever asks for it.

ALTER FUNCTION maintain_holds(interval) SECURITY DEFINER SET search_path = public, pg_temp;
REVOKE EXECUTE ON FUNCTION maintain_holds(interval) FROM PUBLIC;
