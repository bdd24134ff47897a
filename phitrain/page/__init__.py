"""report.html: one file that shows a whole run, without a network."""

from phitrain.page.run import write_report_page
from phitrain.page.write import write_page

__all__ = ["write_page", "write_report_page"]
