using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace CaptionService.Api.Migrations
{
    /// <inheritdoc />
    public partial class CaptionJobs : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "CaptionJobs",
                columns: table => new
                {
                    Id = table.Column<string>(nullable: false),
                    Source = table.Column<string>(nullable: false),
                    DatasetId = table.Column<string>(nullable: true),
                    Folder = table.Column<string>(nullable: true),
                    PhotosOf = table.Column<string>(nullable: false),
                    ComparesWith = table.Column<string>(nullable: true),
                    Options = table.Column<string>(nullable: false),
                    Models = table.Column<string>(nullable: false),
                    State = table.Column<string>(nullable: false),
                    CreatedAt = table.Column<long>(nullable: false),
                    RunningAt = table.Column<long>(nullable: true),
                    EndedAt = table.Column<long>(nullable: true),
                    Photos = table.Column<int>(nullable: false),
                    Done = table.Column<int>(nullable: false),
                    Problems = table.Column<int>(nullable: false),
                    Rate = table.Column<double>(nullable: true),
                    Error = table.Column<string>(nullable: true),
                    Revision = table.Column<long>(nullable: false),
                    Storage = table.Column<string>(nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_CaptionJobs", x => x.Id);
                });

            migrationBuilder.CreateIndex(
                name: "IX_CaptionJobs_State_CreatedAt",
                table: "CaptionJobs",
                columns: new[] { "State", "CreatedAt" });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "CaptionJobs");
        }
    }
}
