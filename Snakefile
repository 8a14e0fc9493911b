# The workflow is in workflow/Snakefile: this file lets `snakemake` be called here, beside config.yaml.


include: "workflow/Snakefile"
