using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace CaptionService.Api.Migrations
{
    /// <inheritdoc />
    public partial class AuditEntries : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "AuditEntries",
                columns: table => new
                {
                    Id = table.Column<string>(nullable: false),
                    At = table.Column<long>(nullable: false),
                    Action = table.Column<string>(nullable: false),
                    Target = table.Column<string>(nullable: false),
                    KeyId = table.Column<string>(nullable: true),
                    Who = table.Column<string>(nullable: true),
                    From = table.Column<string>(nullable: true),
                    Storage = table.Column<string>(nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_AuditEntries", x => x.Id);
                });

            migrationBuilder.CreateIndex(
                name: "IX_AuditEntries_At",
                table: "AuditEntries",
                column: "At");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "AuditEntries");
        }
    }
}
