-- The role of somebody who proves the record without seeing the persons in it.
ALTER TABLE role_request
    DROP CONSTRAINT role_request_roles_exist,
    ADD CONSTRAINT role_request_roles_exist CHECK (roles <@ ARRAY[
        'caller', 'analyst', 'approver', 'reviewer', 'compliance', 'auditor', 'admin']);
