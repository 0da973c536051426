using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace CaptionService.Api.Migrations
{
    /// <inheritdoc />
    public partial class DatasetsOfJobs : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<string>(
                name: "Datasets",
                table: "TrainingJobs",
                nullable: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropColumn(
                name: "Datasets",
                table: "TrainingJobs");
        }
    }
}
