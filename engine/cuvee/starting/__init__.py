"""A first configuration for somebody's own files: what each column is, and which recommenders suit the data."""
