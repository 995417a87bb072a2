"""Symphony: instances, solutions and targets as Eclipse Symphony reads them. One family, pure like every kind."""
